def name_for(extension):
    return "sales" if extension.startswith("7") else "support"
