#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "stream/clock.hpp"
#include "stream/emitter.hpp"
#include "stream/item.hpp"
#include "stream/latest_queue.hpp"
#include "stream/options.hpp"
#include "core/pace.hpp"
#include "stream/tally.hpp"
#include "stream/track.hpp"
#include "stream/watched.hpp"
#include "vision/window_encoder.hpp"

namespace vljepa {

using Tracks = std::vector<std::shared_ptr<Track>>;

/// The work on the frames of a stream: each is encoded, and at a hop the policies are asked and text is decoded. Not for use
/// from several threads at once: the stream's lock sees to it.
class Analysis {
  public:
    /// `waiting`: what waits behind the frame in work, where a worker takes them; nullptr where push() does the work.
    Analysis(const Vision& vision, const FilledOptions& options, const LatestQueue<Item>* waiting, Emitter& emitter,
             Tally& tally);

    Tracks tracks;
    std::optional<WatchedLabels> watch;
    std::vector<WatchedHead> heads;

    /// The time of the newest frame.
    const std::optional<double>& last() const { return last_; }
    /// Whether encoding is faster than the frames come.
    bool keeps_up() const { return pace_.keeps_up(); }

    /// Takes one frame, and counts it. Throws the first error of a graph or of decoding, once all events are out.
    void take(const Item& item, Told& told);
    /// Closes all open segments at `last`, the time of a frame, and lets go what is seen. Throws as take() does.
    void end_all(double last, double decided_at, Told& told);
    void end_segments(const Tracks& ended, double last, double decided_at, Told& told);
    void end_watch(double last, double decided_at, Told& told);
    void end_head(WatchedHead& head, double last, double decided_at, Told& told);
    /// The pace is told how long the hop took that has just been told to listeners, if there was one.
    void note_hop();
    /// Forgets frames and segments. Tracks, labels and heads stay.
    void reset();

  private:
    struct Decided {
        Cuts cuts;
        std::vector<Sighting> labels;
        std::vector<std::pair<const TaughtHead*, Sighting>> taught;
    };

    void step(const Item& item, Told& told);
    bool is_hop(double time, double waited, double spent);
    void follow_clock(const Item& item, Told& told);
    void start_again(double last, double decided_at, Told& told);
    Decided decide(double time, Spent& spent);

    const Vision& vision_;
    Emitter& emitter_;
    Tally& tally_;
    const LatestQueue<Item>* waiting_;
    double hop_;
    Pace pace_;
    WindowEncoder encoder_;
    Scaler scaler_;
    std::vector<std::uint8_t> frame_;
    std::optional<double> last_;
    std::optional<double> hopped_;  // time of the last hop
    std::optional<Clock::time_point> hop_begun_;
    std::optional<std::pair<int, int>> size_;
    std::int64_t encoded_ = 0;  // number of the newest frame
    std::int64_t stretch_ = 0;  // of the newest frame
};

}  // namespace vljepa
