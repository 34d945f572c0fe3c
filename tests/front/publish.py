#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A made-up move: listens on a socket as a move does and tells whoever connects what a file holds.

publish.py SOCKET FILE    until it is killed; the file is read anew for each client
"""
import os
import socket
import sys

path, file = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
server.bind(path + ".new")
server.listen(16)
os.rename(path + ".new", path)
while True:
    client, _ = server.accept()
    with open(file, "rb") as f:
        try:
            client.sendall(f.read())
        except OSError:
            pass
    client.close()
