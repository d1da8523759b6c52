#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vljepa/event.hpp"
#include "vljepa/labels.hpp"
#include "vljepa/model.hpp"
#include "vljepa/pixels.hpp"
#include "vljepa/policy.hpp"
#include "vljepa/taught.hpp"

namespace vljepa {

/// The policy that `name:key=value,key=value` describes, e.g. `running-ward:threshold=0.3`, for embeddings of a width. Keys
/// that are left out keep their default. Throws InputError that lists the allowed names, keys or numbers.
std::unique_ptr<Policy> make_policy(const std::string& text, std::size_t width);

enum class Decode { both, open, closed, none };

struct StreamOptions {
    std::string policy = "running-ward";
    std::optional<double> hop;             // seconds from one window to the next; the manifest's
    std::optional<double> gap;             // seconds without a frame that end segments, or inf; the window, at least 2
    Decode decode = Decode::both;          // which segments are put in words
    double max_idle = 10.0;                // seconds for which hops of a still scene cost nothing; 0: each is computed
    /// Levels of 255 by which the mean luma of a block of 8 x 8 pixels of the scaled frame may differ from that of the frame
    /// encoded last, in a scene that is still. 2 to 4 ignore the noise of a camera; 0: no pixel differs.
    double still = 0.0;
    /// 0 to 1: a text is used again, not decoded, where the embedding lies within this cosine distance of one that it was
    /// decoded from for the same query. The last 64 of a query are kept; a segment that closes uses none that was decoded
    /// when one opened. 0: every text is decoded.
    double reuse = 0.0;
    std::optional<double> min_confidence;  // from which probability on a text is shown; the manifest's
    bool live = false;                     // a worker of the stream does the work, and push() returns at once
    std::optional<int> queue;              // live: frames that may wait for the worker; as many as the window has
    double max_staleness = 2.0;            // live: seconds that a frame may wait; infinite for no bound
};

/// Who is told; each may be empty. They are called with no lock held, so they may call any method of the stream; they must
/// not destroy it. What `on_event` throws is counted and kept in last_error().
struct Listeners {
    std::function<void(const Event&)> on_event;  // each event, in the call that made it or, live, on the worker
    std::function<void(const std::string&)> on_error;  // what failed and was not thrown
};

/// Every pushed frame is in one of the first eight.
struct StreamStats {
    std::int64_t encoded = 0, skipped = 0, repeated = 0, backwards = 0, bad_times = 0, errors = 0;
    std::int64_t dropped = 0;  // live: made way in a full queue for a newer frame
    std::int64_t stale = 0;    // live: waited for longer than max_staleness
    std::int64_t frames = 0;
    std::int64_t restarts = 0, gaps = 0, resized = 0, hops = 0, decodes = 0, events = 0;
    std::int64_t hops_idle = 0;     // hops that cost nothing: the window was that of the hop before
    std::int64_t still = 0;   // of the encoded frames, those that no graph was run for: they were as a frame before
    std::int64_t reuses = 0;  // texts that were used again in place of a decode
    std::int64_t hops_put_off = 0;  // live: frames at which a hop was due and was not made, as newer frames waited
    std::int64_t stalls = 0;        // live: times that no good frame came for longer than the gap, by the machine's clock
    std::int64_t callback_errors = 0;
    std::int64_t unpolled = 0;  // events that fell out of those kept for poll(), and went to no listener
};

/// What takes time: a hop without its decoding, and within it scaling, X-encoder graphs, predictions, policies and the
/// rest; beside it the wait for the worker (live), and one text.
enum class Stage { hop, queue, scale, encode, predict, policy, overhead, decode };

/// Percentiles of a stage's last 4096 durations, in milliseconds. `count`: how many there were in all.
struct Latency {
    std::int64_t count = 0;
    double p50 = 0.0, p90 = 0.0, p99 = 0.0;
};

constexpr double kHold = 0.5;  // seconds

/// Push frames with their times, get events from poll() or by Listeners.
///
/// Frames are sampled by their times at the model's rate (see Sampler). A frame that fails, as a graph may, is an error of
/// push() or, live, is counted and kept in last_error(); no segment is lost to it, and the stream goes on with the next
/// frame.
///
/// A live stream copies frames that are due into a queue of bounded length, where the latest win. When it can't keep up it
/// leaves out hops first, and drops frames only where encoding alone takes too long. When no good frame comes for longer
/// than `gap` it closes the open segments and tells of a stall.
///
/// Any thread may call any method, also while another closes the stream, but for the destructor.
class Stream {
  public:
    /// Throws InputError for options that are not allowed on this model, and for queries that come twice. No queries: the
    /// model's default one.
    Stream(std::shared_ptr<const Model> model, std::vector<Query> queries, const StreamOptions& options = {},
           Listeners listeners = {});
    Stream(Stream&&) noexcept;
    /// As close().
    ~Stream();

    /// Takes a frame at `time` seconds. Throws FrameError for what is no frame, EngineError when a graph fails, InputError
    /// when the stream is closed.
    void push(const Picture& picture, double time);
    /// Finishes the frames pushed so far and closes the open segments at the last frame. The stream can go on. Throws
    /// EngineError when decoding fails.
    void flush();
    /// Forgets frames, segments, events not polled and counts, as if just opened. Queries, labels and heads stay.
    void reset();
    /// Stops, and drops what waits: flush() first has the last segment closed. Events stay to be polled. Can be called twice.
    void close();
    /// The events since the last poll, oldest first. The latest 256 are kept, and all that one call made.
    std::vector<Event> poll();
    /// The oldest event that was not polled yet.
    std::optional<Event> poll_one();

    /// Asks these from the next hop on, none of them nothing. The open segments of the others close at the last frame. Throws
    /// InputError for queries that come twice.
    void set_queries(std::vector<Query> queries);
    /// Asks this too, with a policy of its own if given. Throws InputError for a query that is asked already.
    void add_query(Query query, const std::optional<std::string>& policy = std::nullopt);
    /// Asks this no more; its open segment closes at the last frame. Throws InputError for one that is not asked, and for
    /// the only one.
    void remove_query(const std::string& text);
    /// Cuts by this policy, every query, from the next hop on. The open segments close at the last frame.
    void set_policy(const std::string& policy);
    std::vector<std::string> queries() const;

    /// Tells from the next hop on when one of these labels appears and when it is gone, in place of those before; none: of
    /// nothing any more. `thresholds`: for each the probability at which it appears (it is gone below two thirds of that), or
    /// none for all. `hold`: seconds that a label must be seen before it has appeared, and not be seen before it is gone.
    void watch(std::shared_ptr<const Labels> labels, const std::vector<double>& thresholds = {}, double hold = kHold);
    /// Tells from the next hop on when the events of a head begin and end. Throws InputError for a head, or an event, that
    /// is there already.
    void add_head(std::shared_ptr<const TaughtHead> head, double hold = kHold);
    /// Tells of its events no more; those that have begun end at the last frame. Throws InputError for one that isn't there.
    void remove_head(const std::shared_ptr<const TaughtHead>& head);

    StreamStats stats() const;
    Latency latency(Stage stage) const;
    /// Frames that failed since the last hop that succeeded, or texts since the last that was decoded: the more. Where it only
    /// rises, nothing works any more: load the model again.
    std::int64_t failing() const;
    /// The latest error that was counted and not thrown: of a listener or, live, of a frame. "" for none.
    std::string last_error() const;
    const Model& model() const { return *model_; }

  private:
    class Impl;

    std::shared_ptr<const Model> model_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace vljepa
