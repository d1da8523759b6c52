#pragma once

#include <string>
#include <vector>

#include "vljepa/engine.hpp"
#include "vljepa/manifest.hpp"

namespace vljepa {

/// Appends to `row` what heads read of a stream of one window, [1, ..., C] with time in the second place. A stream of at
/// most 4096 numbers is taken as it is. Of a larger one each channel gives its mean over time and places, and its mean over
/// the second half of the time less that over the first half; one without a time gives the first only.
void pool_stream(const Input& stream, std::vector<float>& row);

/// Names the X-encoder and the way of its features, in 64 hex digits, as vljepa-edge in Python does: two models that share
/// it give the same features. Heads are for one of them.
std::string encoder_digest(const Manifest& manifest);

}  // namespace vljepa
