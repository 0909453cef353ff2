"""The evaluation page as plain Python: slow, obvious, one function a part.

It shares no code and no shortcut with the C sources; the tests compare the two.
All texts are bytes, as on the wire.
"""
