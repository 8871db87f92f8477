// What JavaScript cannot do itself to get a mounted descriptor of /dev/fuse: mount(2), and the socket through which
// fusermount3 passes it.
#pragma once

#include <string>

namespace sluice {

// A descriptor, or a negative errno. `options` as in mount(8), without the descriptor. May wait for the mount point.
int mount_fuse(const std::string& source, const std::string& mountpoint, const std::string& options);

// 0 or a negative errno.
int socket_pair(int sockets[2]);

// The descriptor that waits in the socket, -1 when there is none. Never waits.
int receive_descriptor(int socket);

}  // namespace sluice
