BRANCH = "north"
