#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vljepa/model.hpp"
#include "vljepa/pixels.hpp"
#include "vljepa/policy.hpp"

namespace vljepa {

/// The policy that `name:key=value,key=value` describes, e.g. `running-ward:threshold=0.3`, for embeddings of a width. Keys
/// that are left out keep their default. Throws InputError that lists the allowed names, keys or numbers.
std::unique_ptr<Policy> make_policy(const std::string& text, std::size_t width);

enum class Status { open, closed };

/// A segment of the stream opened or closed. Times are seconds on the clock of the frames.
struct Event {
    Status status = Status::open;
    double start = 0.0;
    std::optional<double> end;  // nothing while it is open
    double decided_at = 0.0;    // the time of the newest frame when the policy cut
    std::string text;
    std::vector<float> embedding;  // unit norm: what `text` is decoded from
    double change = 0.0;           // how much changed at the cut, by the policy's own measure
    std::string query;
    std::int64_t segment = 0;  // counts the segments of a query from 0
    std::optional<double> confidence;
    Wording wording = Wording::none;

    /// One line of JSON with the keys of `vljepa stream --json`, but type and latencies.
    std::string to_json() const;
};

enum class Decode { both, open, closed, none };

struct StreamOptions {
    std::string policy = "running-ward";
    std::optional<double> hop;             // seconds from one window to the next; the manifest's
    std::optional<double> gap;             // seconds without a frame that end segments; the window, at least 2
    Decode decode = Decode::both;          // which segments are put in words
    double max_idle = 10.0;                // seconds for which hops of a still scene cost nothing; 0: each is computed
    std::optional<double> min_confidence;  // from which probability on a text is shown; the manifest's
};

/// Every pushed frame is in one of the first six.
struct StreamStats {
    std::int64_t encoded = 0, skipped = 0, repeated = 0, backwards = 0, bad_times = 0, errors = 0;
    std::int64_t frames = 0;
    std::int64_t restarts = 0, gaps = 0, resized = 0, hops = 0, decodes = 0, events = 0;
    std::int64_t hops_idle = 0;  // hops that cost nothing: the window was that of the hop before, pixel for pixel
};

/// Push frames with their times, poll events. It does the work in push(), and is used by one thread at a time.
///
/// Frames are sampled by their times at the model's rate (see Sampler). A frame that fails, as a graph may, is an error of
/// push(); no segment is lost to it, and the stream goes on with the next frame.
class Stream {
  public:
    /// Throws InputError for options that are not allowed on this model, and for queries that come twice. No queries: the
    /// model's default one.
    Stream(std::shared_ptr<const Model> model, std::vector<Query> queries, const StreamOptions& options = {});
    Stream(Stream&&) noexcept;
    ~Stream();

    /// Takes a frame at `time` seconds. Throws FrameError for what is no frame, EngineError when a graph fails.
    void push(const Picture& picture, double time);
    /// Closes the open segments at the last frame. The stream can go on. Throws EngineError when decoding fails.
    void flush();
    /// Forgets frames, segments, events not polled and counts, as if just opened. Queries stay.
    void reset();
    /// The events since the last poll, oldest first.
    std::vector<Event> poll();

    const StreamStats& stats() const;
    const Model& model() const { return *model_; }

  private:
    class Impl;

    std::shared_ptr<const Model> model_;
    std::unique_ptr<Impl> impl_;
};

}  // namespace vljepa
