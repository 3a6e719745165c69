"""Many trainings over settings: what varies, the study that keeps them, the workers that do them.

`plan` is what a sweep trains, `folder` where it lies, `study` who does what and what it reached,
`worker` and `workers` the processes that train, `run` the loop over them, `report` its end.
"""
