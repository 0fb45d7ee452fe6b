"""A hospital to try the engine with: invented traffic (``traffic``), systems that send and receive it (``systems``)."""
