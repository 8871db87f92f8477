// Open handles and their modes beside a model of the kernel's rule: on one inode either cached or passthrough, never both.
#include <cerrno>
#include <map>
#include <set>

#include "../open_files.h"
#include "cases.h"
#include "check.h"
#include "random.h"
#include "test_file.h"

namespace sluice::test {
namespace {

// The kernel's table of backing files.
struct Backings {
  std::set<int> open;
  int last = 0, opened = 0, refusal = 0, told = 0, told_error = 0;

  OpenFiles::Backing calls() {
    return {.open =
                [this](int descriptor) {
                  CHECK(descriptor >= 0);
                  if (refusal != 0) return -refusal;
                  ++opened;
                  open.insert(++last);
                  return last;
                },
            .close = [this](int id) { CHECK(open.erase(id) == 1, "backing " << id << " was closed twice"); },
            .on_unavailable =
                [this](int error) {
                  ++told;
                  told_error = error;
                }};
  }
};

void random_opens(Random random) {
  struct Inode {
    int cached = 0, passing = 0, backing = 0;
  };
  constexpr uint64_t kNodes = 4;
  Backings backings;
  OpenFiles files(backings.calls());
  std::vector<std::unique_ptr<TestFile>> locals;
  for (uint64_t node = 0; node < kNodes; ++node) locals.push_back(std::make_unique<TestFile>(node, 5 * TestFile::kPageBytes + node));
  std::map<uint64_t, std::pair<uint64_t, OpenMode>> handles;
  Inode inodes[kNodes];
  bool allowed = false;
  uint64_t last = 0;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t node = random.below(kNodes);
    if (step == 300) files.allow_passthrough(allowed = true);
    if (step > 600 && random.percent(1) && !locals[node]->local()->availability.complete()) locals[node]->fill_all();
    // Now and then there is no descriptor left.
    backings.refusal = random.percent(5) ? EMFILE : 0;
    // Few at a time, so that inodes come to rest and change their mode.
    if (random.percent(handles.size() < 8 ? 55 : 25) || handles.empty()) {
      const bool may_pass = random.percent(70);
      const int opened = backings.opened;
      const auto decision = files.open(++last, node, locals[node]->local(), may_pass);
      CHECK(decision && !files.open(last, node, locals[node]->local(), may_pass));
      Inode& inode = inodes[node];
      const bool complete = locals[node]->local()->availability.complete();
      const bool passes = inode.passing > 0 || (allowed && may_pass && inode.cached == 0 && complete && backings.refusal == 0);
      CHECK((decision->mode == OpenMode::kPassthrough) == passes, "node " << node << " at step " << step);
      CHECK(backings.opened - opened == (passes && inode.passing == 0 ? 1 : 0));
      if (passes && inode.passing == 0) inode.backing = decision->backing_id;
      CHECK(decision->backing_id == (passes ? inode.backing : 0) && (!passes || backings.open.contains(inode.backing)));
      ++(passes ? inode.passing : inode.cached);
      handles[last] = {node, decision->mode};
      CHECK(inode.passing == 0 || inode.cached == 0);
    } else {
      const auto at = std::next(handles.begin(), static_cast<ptrdiff_t>(random.below(handles.size())));
      const auto [handle, known] = *at;
      CHECK(files.file_of(handle) == locals[known.first]->local());
      const auto released = files.release(handle);
      CHECK(released && released->node == known.first && released->mode == known.second);
      CHECK(!files.release(handle) && files.file_of(handle) == nullptr);
      --(known.second == OpenMode::kPassthrough ? inodes[known.first].passing : inodes[known.first].cached);
      handles.erase(at);
    }
    size_t cached = 0, passing = 0, backing_ids = 0;
    for (const Inode& inode : inodes) {
      cached += static_cast<size_t>(inode.cached);
      passing += static_cast<size_t>(inode.passing);
      backing_ids += inode.passing > 0;
    }
    CHECK(files.count(OpenMode::kCached) == cached && files.count(OpenMode::kPassthrough) == passing);
    CHECK(backings.open.size() == backing_ids, backings.open.size() << " backing ids for " << backing_ids << " inodes");
  }
  CHECK(backings.opened > 100 && backings.told == 0, backings.opened << " backings");
  for (const auto& [handle, known] : handles) files.release(handle);
  CHECK(backings.open.empty());
  pass("an inode is read in one mode at a time, with one backing id that is closed once");
}

void refusal_for_good() {
  Backings backings;
  OpenFiles files(backings.calls());
  files.allow_passthrough(true);
  TestFile file(1, 100);
  file.fill_all();
  backings.refusal = EPERM;
  CHECK(files.open(1, 1, file.local(), true)->mode == OpenMode::kCached);
  backings.refusal = 0;
  CHECK(files.open(2, 2, file.local(), true)->mode == OpenMode::kCached && backings.opened == 0);
  CHECK(backings.told == 1 && backings.told_error == EPERM);
  pass("passthrough that is refused is not asked for again, and told of once");
}

void files_that_are_not_whole() {
  Backings backings;
  OpenFiles files(backings.calls());
  files.allow_passthrough(true);
  TestFile file(1, 2 * TestFile::kPageBytes), cut(2, 100);
  file.fill(0, TestFile::kPageBytes);
  CHECK(files.open(1, 1, file.local(), true)->mode == OpenMode::kCached);
  files.release(1);
  file.fill(TestFile::kPageBytes, file.size());
  CHECK(files.open(2, 1, file.local(), false)->mode == OpenMode::kCached);
  files.release(2);
  cut.fill_all();
  cut.cut(99);
  CHECK(files.open(3, 2, cut.local(), true)->mode == OpenMode::kCached);
  CHECK(files.open(4, 1, file.local(), true)->mode == OpenMode::kPassthrough);
  TestFile revoked(3, 100), punched(4, 3 * TestFile::kPageBytes);
  revoked.fill_all();
  revoked.local()->revoke();
  CHECK(files.open(5, 3, revoked.local(), true)->mode == OpenMode::kCached);
  punched.fill_all();
  punched.punch(TestFile::kPageBytes, 2 * TestFile::kPageBytes);
  CHECK(files.open(6, 4, punched.local(), true)->mode == OpenMode::kCached);
  files.clear();
  CHECK(files.count(OpenMode::kPassthrough) == 0 && files.count(OpenMode::kCached) == 0 && !files.file_of(4));
  pass("only a file that is whole, has its size and is trusted is passed through");
}

}  // namespace

void run_open_file_cases(uint64_t seed) {
  random_opens(Random(seed));
  refusal_for_good();
  files_that_are_not_whole();
}

}  // namespace sluice::test
