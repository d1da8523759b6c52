"""Selective decoding measured (section 4.6 of the paper): how many decodes a policy saves at equal CIDEr, on streams
with annotations, on two clocks that are never mixed."""
