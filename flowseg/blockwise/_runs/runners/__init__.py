"""Ways to do the tasks of a run: processes of this machine, a dask cluster, the parts of a job array."""
