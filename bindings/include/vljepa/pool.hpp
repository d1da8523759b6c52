#pragma once

#include <cstddef>
#include <vector>

namespace vljepa {

/// Average pooling over the last `hops` embeddings (section 2 of the paper).
///
/// Each mean is made from its embeddings in double and rounded once, so it never drifts. A push costs O(hops * width).
class Pool {
  public:
    /// Throws InputError unless width and hops are at least 1.
    Pool(std::size_t width, std::size_t hops);

    /// The mean of `embedding` and those before it, until the next call. `embedding` points at `width` finite floats.
    const float* push(const float* embedding);
    void clear() { count_ = next_ = 0; }

  private:
    std::size_t width_;
    std::size_t hops_;
    std::size_t count_ = 0;
    std::size_t next_ = 0;  // ring position of the next write
    std::vector<float> ring_;
    std::vector<float> mean_;
};

}  // namespace vljepa
