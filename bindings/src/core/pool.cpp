#include "vljepa/pool.hpp"

#include <algorithm>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

Pool::Pool(std::size_t width, std::size_t hops) : width_(width), hops_(hops) {
    if (width == 0) throw InputError("width 0 is not supported; use at least 1");
    if (hops == 0) throw InputError("a pool of 0 hops is not supported; use at least 1");
    if (hops == 1) return;
    ring_.resize(width * hops);
    mean_.resize(width);
}

const float* Pool::push(const float* embedding) {
    if (hops_ == 1) return embedding;
    std::copy(embedding, embedding + width_, ring_.data() + next_ * width_);
    if (++next_ == hops_) next_ = 0;
    count_ = std::min(count_ + 1, hops_);
    mean_of(mean_.data(), ring_.data(), count_, width_);
    return mean_.data();
}

}  // namespace vljepa
