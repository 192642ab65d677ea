"""Metrics that no dashboard shows, and why."""

WITHOUT_PANEL = {
    "process_virtual_memory_bytes": "address space costs nothing; resident memory is shown",
    "python_gc_objects_collected_total": "how often is shown; how much says nothing of the time that it takes",
    "python_gc_objects_uncollectable_total": "0 in any Python that is supported",
}
