#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "vljepa/pool.hpp"
#include "vljepa/sliding_stats.hpp"

namespace vljepa {

/// A closed stretch of the stream: the embeddings pushed at start <= time < end.
struct Segment {
    double start = 0.0;       // seconds, time of its first embedding
    double end = 0.0;         // seconds, time of the next segment's first embedding, or of the flush
    std::vector<float> mean;  // mean of its embeddings scaled to unit norm (zeros if they cancel out)
    std::int64_t count = 0;   // embeddings in the mean: all, but those that speak of what was before it, or of what
                              // a budget had no token for
    double score = 0.0;       // change score of the push that closed it, 0 for a flush
};

/// What a policy says about one push.
struct Decision {
    bool opened = false;            // a new segment opened
    double start = 0.0;             // seconds, start of the open segment; the flush time when none is open
    double since = 0.0;             // seconds: what the segment is about began between `since` and `start`
    double score = 0.0;             // change score of this push
    std::optional<Segment> closed;  // the segment that this push ended
};

/// Mean of the embeddings of one segment while it grows.
class SegmentMean {
  public:
    explicit SegmentMean(std::size_t width) : sum_(width) {}

    void clear();
    void add(const float* embedding);
    void add(const SegmentMean& other);
    std::int64_t count() const { return count_; }
    /// Squared distance of the mean to `point`, `width` numbers.
    double squared_distance_to(const float* point) const;
    std::vector<float> unit_mean() const;

  private:
    std::vector<double> sum_;
    std::int64_t count_ = 0;
};

/// An online segmentation of an embedding stream: (embedding, time) in, decision out. No clock, no I/O.
///
/// An embedding speaks of a window of frames, from `since` to `time`. After a change the windows hold what was before
/// it, too, and their embeddings may be like neither. A policy that is told of `since` knows which these are.
///
/// Segments tile the time line: each push belongs to exactly one segment and a segment ends where the next starts. The
/// first push opens a segment. A policy holds O(width) memory, a push allocates none but the mean of a segment that it
/// closes, and one thread at a time uses it.
///
/// Durations are compared with the times of hops, which jitter: one counts as reached when it falls short by at most a
/// quarter of the last hop, or of itself if that is less.
class Policy {
  public:
    virtual ~Policy() = default;

    /// Take the embedding of one hop: `width` floats, unit norm, at `time` seconds. `since`: seconds, time of the
    /// oldest frame that it speaks of; without it, `time`.
    /// Throws InputError, and changes nothing, if the width is another one, an element or a time isn't finite, `since`
    /// is after `time`, or `time` isn't after the last push (right after a flush, not before it).
    Decision push(const float* embedding, std::size_t width, double time, std::optional<double> since = std::nullopt);
    /// Close the open segment, if any, at `time`, which must not be before the last push.
    Decision flush(double time);
    /// Forget the stream; the policy is as new.
    void reset();

    std::size_t width() const { return width_; }

  protected:
    explicit Policy(std::size_t width);
    Policy(const Policy&) = default;
    Policy& operator=(const Policy&) = default;

    /// The first embedding of a stream was put into `open_`.
    virtual void begin(const float* embedding) = 0;
    /// A later embedding: put it into a segment.
    virtual Decision step(const float* embedding, double time) = 0;
    /// Put what is still undecided into `open_`.
    virtual void settle() {}

    /// Close the open segment at `time` and open an empty one there, of something that began after `since`. The caller
    /// fills it.
    Decision split(double time, double since, double score);
    Decision stay(double score) const { return {false, start_, start_since_, score, std::nullopt}; }

    /// Whether `elapsed` seconds are `duration` seconds, give or take the jitter of hops.
    bool has_lasted(double elapsed, double duration) const;
    /// Seconds by which `duration` may fall short.
    double slack(double duration) const;
    /// Seconds between the last two pushes.
    double hop() const { return hop_; }

    double start_ = 0.0;        // of the open segment
    double start_since_ = 0.0;  // what it is about began after this
    double since_ = 0.0;        // since when the newest embedding speaks
    bool cut_ = false;          // its window restarted after the embedding before it, at a hard cut
    SegmentMean open_;

  private:
    void check_time(double time, bool may_equal) const;

    std::size_t width_;
    double last_time_ = -std::numeric_limits<double>::infinity();
    double hop_ = 0.0;  // seconds between the last two pushes
};

/// A new segment every `period` seconds, on the grid that starts at the first push. Score: elapsed share of the period.
class Uniform final : public Policy {
  public:
    Uniform(std::size_t width, double period);

  private:
    void begin(const float* embedding) override;
    Decision step(const float* embedding, double time) override;

    double period_;
    double due_ = 0.0;
};

struct LocalVarianceOptions {
    double threshold = 0.15;
    std::size_t window = 8;
    std::size_t smooth = 2;
    double min_duration = 0.5;
};

/// Section 2 of the paper: average-pool the stream over the last `smooth` hops and split when the variance of the last
/// `window` pooled embeddings, summed over dimensions, exceeds `threshold`. Window and pool restart at a split, so one
/// change splits once; a segment lasts at least `min_duration` seconds. Score: the variance.
class LocalVariance final : public Policy {
  public:
    LocalVariance(std::size_t width, const LocalVarianceOptions& options);

  private:
    void begin(const float* embedding) override;
    Decision step(const float* embedding, double time) override;
    void observe(const float* embedding);

    LocalVarianceOptions options_;
    Pool pool_;
    SlidingStats window_;
};

struct RunningWardOptions {
    double threshold = 0.3;
    std::size_t smooth = 1;
    double min_duration = 0.5;
    double max_duration = std::numeric_limits<double>::infinity();
    double back = 1.0;
};

/// Causal Ward: the embedding, average-pooled over the last `smooth` hops, joins the open segment unless Ward's cost of
/// that, n/(n+1) * |mean - embedding|^2, exceeds `threshold`, or a tenth of it where the window restarted, at a hard
/// cut. Then it starts a candidate, which becomes the open segment once it has lasted `min_duration` seconds; if the
/// stream returns before, the candidate joins the open segment, so that a noisy hop doesn't split. It has returned when
/// the cost is at most `back` of what started the candidate: below 1, that is hysteresis. While the windows of
/// a new segment hold what was before it, each embedding takes the place of its mean and none splits it. A change began
/// after the last hop that cost at most half the threshold. A segment is split anyway after `max_duration` seconds.
/// Score: Ward's cost.
class RunningWard : public Policy {
  public:
    RunningWard(std::size_t width, const RunningWardOptions& options);

  protected:
    void begin(const float* embedding) override;
    Decision step(const float* embedding, double time) override;

    double threshold_;
    bool may_split_ = true;  // else a candidate waits, however long it has lasted

  private:
    void settle() override;
    double cost_to(const SegmentMean& mean, const float* pooled) const;
    void pool_from(const float* embedding);

    RunningWardOptions options_;
    Pool pool_;
    SegmentMean candidate_;
    double candidate_start_ = 0.0;
    double candidate_since_ = 0.0;
    double alike_ = 0.0;    // seconds, the last hop that was as the open segment
    bool candidate_cut_ = false;  // it began at a hard cut
    bool withheld_ = false;  // it would be a segment by now, had it been allowed
    bool turning_ = false;  // the open segment has no embedding yet that speaks of nothing before it
};

struct BudgetOptions {
    double per_minute = 6.0;
    std::size_t burst = 3;
    double least = 0.1;
    std::size_t smooth = 1;
    double min_duration = 0.5;
    double back = 1.0;
};

/// RunningWard that sets its own threshold so that `per_minute` segments open a minute, where that much changes. The
/// threshold rises by a step with each segment and falls by as much in the time in which one may open, down to `least`;
/// it begins at RunningWard's default. Hence it settles where just so many changes cost more. A token bucket makes the
/// budget a bound: of any stretch of t seconds at most `burst` + t / 60 * `per_minute` segments open. A change that finds
/// the bucket empty is a candidate until there is a token. If it is over before, or another one takes its place, no
/// segment tells of it, and its embeddings are in no mean. Score: Ward's cost.
class Budget final : public RunningWard {
  public:
    Budget(std::size_t width, const BudgetOptions& options);

  private:
    void begin(const float* embedding) override;
    Decision step(const float* embedding, double time) override;

    double rate_;   // segments a second
    double burst_;
    double least_;  // logarithm of the least threshold
    double level_ = 0.0;  // logarithm of the threshold
    double tokens_ = 0.0;
};

}  // namespace vljepa
