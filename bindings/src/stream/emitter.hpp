#pragma once

#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stream/clock.hpp"
#include "stream/options.hpp"
#include "stream/tally.hpp"
#include "stream/track.hpp"
#include "core/watch.hpp"
#include "vljepa/stream.hpp"

namespace vljepa {

/// What one step has made, told to listeners once the locks are free. `events` is left empty where nobody listens.
struct Told {
    std::int64_t number;
    std::vector<Event> events;
    std::string error;  // what failed and was not thrown; "" for nothing
};

/// A cut and whose it is.
using Cuts = std::vector<std::pair<Track*, Cut>>;

/// When something was decided: the time of the newest frame, and when the work on that began.
struct Moment {
    double decided_at;
    Clock::time_point called;
};

/// Makes the events of a stream and keeps the latest 256 of them until they are taken. Events of one step never push each
/// other out. One that falls out is counted if nobody listens.
///
/// One thread at a time may emit. Any thread may take, and never waits for a graph.
class Emitter {
  public:
    Emitter(const Model& model, const FilledOptions& options, double least_confidence, bool has_listener, Tally& tally);

    /// What the events of one step are to be put into.
    Told begin();
    /// Puts cuts in words: an event for each, with an empty text where the option `decode` leaves it out, and where decoding
    /// fails. Throws the first error of decoding once all events are out.
    void emit(Cuts& cuts, const Moment& moment, Told& told);
    /// A label appeared or is gone, by the newest prediction for their query.
    void emit_label(const Sighting& sighting, const Labels& labels, const std::vector<float>& embedding, const Moment& moment,
                    Told& told);
    /// A taught event began or ended.
    void emit_taught(const Sighting& sighting, const TaughtHead& head, const Moment& moment, Told& told);
    /// The event that no frame has come since `last`.
    void emit_stall(double last, double decided_at, Told& told);

    std::vector<Event> take();
    std::optional<Event> take_one();

  private:
    bool is_put_in_words(const Cut& cut) const { return cut.end ? decodes_closed_ : decodes_open_; }
    Words decode(Track& track, const Cut& cut, std::exception_ptr& failure);
    Event seen(const Sighting& sighting, const std::string& text, const Moment& moment) const;
    void keep(Event event, Told& told);

    const Model& model_;
    bool decodes_open_;
    bool decodes_closed_;
    double least_;
    bool has_listener_;
    Tally& tally_;
    std::int64_t outputs_ = 0;
    std::mutex mutex_;  // of what follows
    std::deque<std::pair<std::int64_t, Event>> pending_;  // by the number of the told
};

}  // namespace vljepa
