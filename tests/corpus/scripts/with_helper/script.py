from call import agi, greet, count

greet()
count.append("script")
agi.set_variable("COUNT", len(count))
