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
    /// Tells of the error, then of the events. Call it with no lock held.
    void deliver(const Told& told);
    /// Keeps the exception in flight, which is not thrown on, and returns what to tell of it. Call it in a catch block.
    std::string keep(const char* what) noexcept;
    std::string last_error() const;
    void forget();

  private:
    void tell(const std::string& error) noexcept;

    Listeners listeners_;
    Tally& tally_;
    mutable std::mutex mutex_;  // of what follows
    std::string last_error_;
};

}  // namespace vljepa
