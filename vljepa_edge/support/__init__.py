"""What every other package may use: fetched files, atomic writes, media folders, commands that install.

Nothing here knows what a model is.
"""
