BRANCH = "south"
