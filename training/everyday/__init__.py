"""Everyday photographs and robot clips with texts that people wrote: where they are, how they come here, and what
more is said about them."""
