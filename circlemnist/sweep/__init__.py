"""Many trainings over settings: what varies, the study that keeps them, the workers that do them.

`axes` and `plan` are what a sweep trains, `folder` where it lies, `storage` and `study` who does
what and what it reached, `worker` and `workers` the processes that train, `run` the loop over them,
`progress` what is seen of it, and `sweep` all of it, from the plan to the picture.
"""
