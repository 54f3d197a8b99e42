"""A pipeline whose steps do what control files tell them, and write down that they did."""
