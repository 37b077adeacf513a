"""What a method is made of: the registry of named blocks, their parameters, and the blocks themselves. No files, no
training loops, nothing that knows a recipe."""
