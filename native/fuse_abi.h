// The part of the kernel's FUSE protocol (version 7) that the session itself reads or writes, after linux/fuse.h: headers
// of a distribution may be older than the running kernel, so the numbers stand here. Everything is little endian and
// 8-byte aligned; values are copied out of buffers, never cast in place.
#pragma once

#include <cstdint>

namespace sluice::fuse {

inline constexpr uint32_t kMajor = 7;
// What we speak; the kernel uses the smaller of both sides' minor versions.
inline constexpr uint32_t kMinor = 41;
// Before 7.23 fuse_init_out is shorter than what we send; kernels since 3.15 have it.
inline constexpr uint32_t kMinorMin = 23;

enum Opcode : uint32_t {
  kLookup = 1, kForget = 2, kGetattr = 3, kSetattr = 4, kReadlink = 5, kSymlink = 6, kMknod = 8, kMkdir = 9, kUnlink = 10,
  kRmdir = 11, kRename = 12, kLink = 13, kOpen = 14, kRead = 15, kWrite = 16, kStatfs = 17, kRelease = 18, kFsync = 20,
  kSetxattr = 21, kGetxattr = 22, kListxattr = 23, kRemovexattr = 24, kFlush = 25, kInit = 26, kOpendir = 27, kReaddir = 28,
  kReleasedir = 29, kFsyncdir = 30, kGetlk = 31, kSetlk = 32, kSetlkw = 33, kAccess = 34, kCreate = 35, kInterrupt = 36,
  kBmap = 37, kDestroy = 38, kIoctl = 39, kPoll = 40, kNotifyReply = 41, kBatchForget = 42, kFallocate = 43,
  kReaddirplus = 44, kRename2 = 45, kLseek = 46, kCopyFileRange = 47, kSetupmapping = 48, kRemovemapping = 49, kSyncfs = 50,
  kTmpfile = 51, kStatx = 52,
};

struct InHeader {
  uint32_t len, opcode;
  uint64_t unique, nodeid;
  uint32_t uid, gid, pid;
  uint16_t total_extlen, padding;
};
static_assert(sizeof(InHeader) == 40);

struct OutHeader {
  uint32_t len;
  int32_t error;
  uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);

// The kernel sends 16 bytes before 7.36, and the flags2 behind them since.
struct InitIn {
  uint32_t major, minor, max_readahead, flags;
  uint32_t flags2;
  uint32_t unused[11];
};
inline constexpr uint32_t kInitInBytesMin = 16;
static_assert(sizeof(InitIn) == 64);

struct InitOut {
  uint32_t major, minor, max_readahead, flags;
  uint16_t max_background, congestion_threshold;
  uint32_t max_write, time_gran;
  uint16_t max_pages, map_alignment;
  uint32_t flags2, max_stack_depth;
  uint16_t unused[12];
};
static_assert(sizeof(InitOut) == 64);

// INIT flags; those from bit 32 on travel in flags2.
inline constexpr uint64_t kAsyncRead = 1ull << 0;
inline constexpr uint64_t kAtomicOTrunc = 1ull << 3;
inline constexpr uint64_t kBigWrites = 1ull << 5;
inline constexpr uint64_t kDoReaddirplus = 1ull << 13;
inline constexpr uint64_t kReaddirplusAuto = 1ull << 14;
inline constexpr uint64_t kParallelDirops = 1ull << 18;
inline constexpr uint64_t kMaxPages = 1ull << 22;
inline constexpr uint64_t kExplicitInvalData = 1ull << 25;
inline constexpr uint64_t kInitExt = 1ull << 30;
inline constexpr uint64_t kPassthrough = 1ull << 37;
inline constexpr uint64_t kNoExportSupport = 1ull << 38;
inline constexpr uint64_t kHasResend = 1ull << 39;

struct ReadIn {
  uint64_t fh, offset;
  uint32_t size, read_flags;
  uint64_t lock_owner;
  uint32_t flags, padding;
};
static_assert(sizeof(ReadIn) == 40);

struct OpenOut {
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenOut) == 16);

inline constexpr uint32_t kOpenKeepCache = 1u << 1;
inline constexpr uint32_t kOpenNoFlush = 1u << 5;
inline constexpr uint32_t kOpenPassthrough = 1u << 7;

struct ReleaseIn {
  uint64_t fh;
  uint32_t flags, release_flags;
  uint64_t lock_owner;
};

struct InterruptIn {
  uint64_t unique;
};

struct ForgetOne {
  uint64_t nodeid, nlookup;
};

struct BatchForgetIn {
  uint32_t count, dummy;
};

// Notifications: an OutHeader with unique 0 and the code in `error`.
inline constexpr int32_t kNotifyInvalInode = 2;
inline constexpr int32_t kNotifyInvalEntry = 3;

struct NotifyInvalInodeOut {
  uint64_t ino;
  int64_t off, len;
};

struct NotifyInvalEntryOut {
  uint64_t parent;
  uint32_t namelen, flags;
};

// ioctl numbers of /dev/fuse: _IOR(229, 0, uint32_t), _IOW(229, 1, BackingMap), _IOW(229, 2, uint32_t).
struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
inline constexpr unsigned long kIoctlClone = 0x8004e500;
inline constexpr unsigned long kIoctlBackingOpen = 0x4010e501;
inline constexpr unsigned long kIoctlBackingClose = 0x4004e502;

}  // namespace sluice::fuse
