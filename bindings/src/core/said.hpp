#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace vljepa {

/// The semantic decode cache of one query: the embeddings of the last texts that were decoded. A text stands at its place,
/// below kKept, kept by whoever asks; the least recently used makes way.
///
/// What is used again lies within `radius` (cosine distance) of the embedding that was decoded, not of one that used it: a
/// stream that drifts is decoded again. Memory is taken with the first text and does not grow.
class Said {
  public:
    static constexpr std::size_t kKept = 64;

    explicit Said(double radius) : radius_(radius) {}

    /// Numbers in an embedding; 0 before the first.
    std::size_t width() const { return width_; }
    /// Texts that are kept.
    std::size_t count() const { return count_; }
    /// The place of the nearest text within the radius of a unit embedding, if there is one. `is_mean`: it is the mean of a
    /// segment, whose texts are better: only one that was decoded from a mean stands in.
    std::optional<std::size_t> find(const float* embedding, std::size_t width, bool is_mean);
    /// A text was decoded from a unit embedding. Returns its place. All have one width.
    std::size_t keep(const float* embedding, std::size_t width, bool is_mean);
    /// Forgets them.
    void clear() { count_ = 0; }

  private:
    double radius_;
    std::size_t width_ = 0;
    std::size_t count_ = 0;
    std::vector<float> rows_;
    std::array<bool, kKept> is_mean_{};  // decoded from the mean of a segment
    std::array<std::int64_t, kKept> used_{};  // when each was used last, in uses
    std::int64_t uses_ = 0;
};

}  // namespace vljepa
