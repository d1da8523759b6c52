#pragma once

#include <cstddef>
#include <vector>

namespace vljepa {

/// Mean and variance of the last `window` embeddings.
///
/// A push costs O(width) amortised: Welford's update for a replaced sample. When the ring buffer wraps and rounding may
/// have grown to 1e-13, all is computed again in two passes, so it never grows however long the stream is.
/// Memory is window * width floats.
class SlidingStats {
  public:
    /// Throws InputError unless width and window are at least 1.
    SlidingStats(std::size_t width, std::size_t window);

    /// `embedding` points at `width()` floats. Throws InputError, and changes nothing, if one isn't finite.
    void push(const float* embedding);
    /// The same of an embedding that is known to be finite.
    void push_finite(const float* embedding);
    void clear();

    std::size_t width() const { return mean_.size(); }
    std::size_t window() const { return window_; }
    /// Embeddings in the window: at most `window()`.
    std::size_t count() const { return count_; }
    /// Mean, `width()` long; zeros while empty.
    const std::vector<double>& mean() const { return mean_; }
    /// Population variance summed over dimensions, that is the mean squared distance to the mean; 0 while empty.
    double variance() const { return count_ == 0 ? 0.0 : squares_ / static_cast<double>(count_); }

  private:
    void recompute();

    std::size_t window_;
    std::size_t count_ = 0;
    std::size_t next_ = 0;  // ring position of the next write
    std::vector<float> ring_;
    std::vector<double> mean_;
    double squares_ = 0.0;  // sum of squared distances to the mean
    double rounded_ = 0.0;  // sum of that after each push since all was computed again: the scale of rounding
};

}  // namespace vljepa
