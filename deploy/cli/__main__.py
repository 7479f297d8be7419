"""So that a child process can be started as: python -m deploy.cli ..."""

from deploy.cli import main

main()
