// SPDX-License-Identifier: MIT
// A context as other processes can import it (life/import.h): an observer that writes the end of its node into memory
// that it shares, and then hangs up a pipe.
//
//   what dies or ends             what an importer sees
//   the context                   the pipe is readable and hangs up; the state tells error and cause
//   the export: it is stopped     the same; CTX_CANCELED, "export stopped"
//   the exporter, however         the pipe hangs up, by the system; the state tells no end
//   the exporter, before it is
//   imported                      no such process, or none that has this file under this number
//   the importer                  its descriptors are closed; the exporter sees nothing
//
// Invariants
//  1. It is live from when it is made until the walk that ended its node, or a stop, claims that. Who claims it tells
//     the end. While it is live it holds its node, and itself; of a root, which never ends, it holds nothing.
//  2. Linked among the node's observers while it is live, but for one of a root, and one that is being stopped.
//  3. Memory and read end stay until the handle is gone and it is not live: whoever imports late also learns the end.
//  4. The write end is in the list of all from when it is opened until it is closed, both in one section under the
//     list's lock. A fork waits for that lock; and the child closes all that are listed. So nobody but this process ever
//     keeps a pipe from hanging up.
//  5. To end it takes no memory and no descriptor. What is too long for the state's room is cut.
//
// Lock order: after the lock of a node's observers, the lock of the list: a leaf, and held around a fork.
#ifndef CTX_CORE_WATCH_EXPORT_H
#define CTX_CORE_WATCH_EXPORT_H

#include <cstdint>

#include "core/system/atomic.h"
#include "core/system/share.h"
#include "core/tree/exported.h"
#include "core/tree/node.h"
#include "core/tree/observer.h"

namespace ctxcore {

class Export : public Watch {
 public:
  Export() : Watch(Type::exported) {}

  // Exports a context: writes the text, which has room for kExportedText. A `ret` that is not null receives the export,
  // with a reference. 0; -E2BIG: too many strings; -ENOTSUP; -ENOMEM; or the system's answer.
  [[gnu::cold]] static int make(Context* context, char* text, Watch** ret);

  // By the walk that ended the node, under the lock of its observers, once it is off their list.
  void end();
  bool stop();  // true if this call ended it
  void release();

 private:
  struct WriteEnd : Link {
    Export* of = nullptr;
  };
  friend struct WriteEnds;

  int open(size_t strings);
  void write_state(Context* context, size_t strings);
  void arm(Node* node);
  bool claim() { return live_.exchange(false, std::memory_order_acq_rel); }
  void tell(int error, const Cause* cause);
  ExportedState* state() const { return static_cast<ExportedState*>(lent_.memory); }

  Lent lent_;
  WriteEnd write_end_;
  Node* node_ = nullptr;  // nullptr of a root
  Atomic<bool> live_{true};
  Atomic<uint32_t> refs_{1};
};

// Around a fork: before it, after it in this process, and in the child.
void hold_exports();
void release_exports();
void forget_exports();

}  // namespace ctxcore

#endif
