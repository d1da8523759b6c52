#pragma once

#include <mutex>
#include <string>

#include "stream/emitter.hpp"
#include "stream/tally.hpp"
#include "vljepa/stream.hpp"

namespace vljepa {

/// Tells listeners of events and errors. What they throw is counted and kept; nothing they do stops the stream.
class Teller {
  public:
    Teller(Listeners listeners, Tally& tally) : listeners_(std::move(listeners)), tally_(tally) {}

    bool has_listener() const { return static_cast<bool>(listeners_.on_event); }
    /// Call it with no lock held.
    void deliver(const Told& told);
    /// Keeps the exception in flight, which is not thrown on. Call it in a catch block.
    void note(const char* what) noexcept;
    std::string last_error() const;
    void forget();

  private:
    Listeners listeners_;
    Tally& tally_;
    mutable std::mutex mutex_;  // of what follows
    std::string last_error_;
};

}  // namespace vljepa
