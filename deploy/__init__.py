"""What puts Kith on a machine: the command, the local stack, migrations, demo content, locks."""
