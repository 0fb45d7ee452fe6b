"""A message in the words of its standard: names of segments, fields and components, and what is wrong with it.

Off the path of messages: hl7apy knows the standard and takes milliseconds; what is shown is read by ``transforms.er7``,
which drops nothing.
"""
