// Who works on a session in a random run: programs that read files, others that send every other operation, and the
// downloads that fill the files.
#pragma once

#include <atomic>
#include <memory>

#include "fake_host.h"

namespace sluice::test {

// What a run does, so that its actors know which ends are allowed; and what came of it.
struct Run {
  Run(FakeKernel& kernel, Files files, bool short_deadline, bool hostile, unsigned punch_percent)
      : kernel(kernel),
        files(std::move(files)),
        short_deadline(short_deadline),
        hostile(hostile),
        punch_percent(punch_percent) {}

  FakeKernel& kernel;
  const Files files;
  const bool short_deadline;
  // Handles are released with reads under way, which a kernel does not do.
  const bool hostile;
  // How often, of 100 chunks, one is taken out of its file and filled again.
  const unsigned punch_percent;
  std::atomic<bool> stopping{false};
  // READs of handles that the session knows, as the kernel saw them end.
  std::atomic<uint64_t> reads_ok{0}, reads_failed{0}, bytes{0}, failed_by_host{0};
  std::atomic<uint64_t> malformed{0};
};

// Opens files, reads here and there with several requests under way, interrupts some, releases.
void read_files(Run& run, Random random, unsigned opens);

// Sends any operation, right ones and cut ones, and forgets lookups.
void use_operations(Run& run, Random random, unsigned count);

// Fills every file's chunks i with i % publishers == index: in order, or in any, some of them twice.
void fill_files(Run& run, Random random, std::shared_ptr<Session> session, unsigned index, unsigned publishers);

}  // namespace sluice::test
