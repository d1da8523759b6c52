"""How good a bundle is on tables of captioned photographs and clips, through the runtime: figures for any bundle."""
