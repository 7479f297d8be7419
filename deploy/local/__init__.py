"""The local stack: real servers from wheels in one folder, and a small supervisor of processes."""

from deploy.local.errors import StackError
from deploy.local.processes import Processes
from deploy.local.records import running_supervisor, stop_running
from deploy.local.stack import ServerStatus, Stack, StackStatus

__all__ = [
    "Processes",
    "ServerStatus",
    "Stack",
    "StackError",
    "StackStatus",
    "running_supervisor",
    "stop_running",
]
