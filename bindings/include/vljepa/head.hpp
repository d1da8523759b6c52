#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace vljepa {

/// Something that began (`end` empty) or ended: seconds at which it was first and last seen; the largest probability.
struct Occurrence {
    double start = 0.0;
    std::optional<double> end;
    double peak = 0.0;
};

struct HysteresisOptions {
    double begin = 0.6;  // the probability at which it begins
    double end = 0.4;    // below which it ends, at most `begin`
    double hold = 0.5;   // seconds that it must last before it has begun, and be gone before it has ended
};

/// From a probability at every hop to occurrences, each of which begins once and ends once. The jitter of hops, a
/// quarter of one, is forgiven. A probability that is not a number is none of seeing it.
class Hysteresis {
  public:
    /// Throws InputError unless 0 <= end <= begin <= 1 and hold is 0 to 86400.
    explicit Hysteresis(const HysteresisOptions& options);

    /// Take the probability of a hop, at `time` seconds, later than the one before it. `at`: the time that a sighting of
    /// it is given, such as the middle of its window.
    std::optional<Occurrence> push(double probability, double time, double at);
    /// End it at the last hop at which it was seen: the stream has ended. Nothing when it had not begun.
    std::optional<Occurrence> finish();
    /// The next hop may have any time. What has begun should be finished first.
    void restart_clock() { newest_.reset(); }
    /// Forget everything.
    void reset();

    bool is_seen() const { return begun_; }
    /// The largest probability of what has begun and not ended; 0 where nothing has.
    double peak() const { return begun_ ? peak_ : 0.0; }

  private:
    void forget();

    HysteresisOptions options_;
    std::optional<double> newest_;  // the last hop
    std::optional<double> since_;   // the first hop at which it was seen
    std::optional<double> low_;     // the first hop of those below `end`
    bool begun_ = false;
    double start_ = 0.0;
    double last_ = 0.0;
    double peak_ = 0.0;
};

/// A taught head: for each of `labels` events, 1 / (1 + exp(-(slope (weights x + bias) + offset))) on the features x of
/// a window. Holds its weights; safe to read from many threads.
class Head {
  public:
    /// weights: `labels` rows of `width` floats. Throws InputError unless all is finite, the sizes fit and slope >= 0.
    Head(std::vector<float> weights, std::vector<float> bias, double slope, double offset);

    std::size_t labels() const { return bias_.size(); }
    std::size_t width() const { return weights_.size() / bias_.size(); }

    /// `width` floats in, `labels` probabilities out.
    void probabilities(const float* features, double* out) const;

  private:
    std::vector<float> weights_;
    std::vector<float> bias_;
    double slope_;
    double offset_;
};

}  // namespace vljepa
