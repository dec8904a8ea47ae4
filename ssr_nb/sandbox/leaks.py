"""What `look_around` must not have seen, for the test that tries the fence out."""

FORBIDDEN = ("network", "fork", "write", "processes", "shared memory", "file in memory", "keyring", "other sockets",
             "other namespace")


def leaks(seen):
    """What a program saw or could do that it must not, by name; an empty dictionary where the fence holds."""
    holds = {name: "Error" in seen[name] for name in FORBIDDEN}
    holds |= {"files": seen["files"] == [], "environment": seen["environment"].keys() <= {"LC_CTYPE"},
              "user": not seen["user"], "parent": seen["parent"] in "01", "own folder": seen["own folder"] == "1"}
    return {name: seen[name] for name, well in holds.items() if not well}
