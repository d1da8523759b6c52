#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vljepa {

/// Offline segmentation of a complete stream (section 4.6 of the paper): agglomerative clustering with Ward's cost where
/// only neighbours in time may join, down to `segments` segments. `embeddings` is row-major, `length` x `width`.
/// Returns the index of each segment's first row, ascending, the first one 0. O(length * (width + log length)) time.
/// Throws InputError if a number isn't finite or `segments` isn't within 1..length.
std::vector<std::int64_t> chain_ward(const float* embeddings, std::size_t length, std::size_t width,
                                     std::size_t segments);

/// The same, joining until the cheapest join costs more than `threshold`, in the unit of RunningWard's threshold
/// (scikit-learn and SciPy report sqrt(2 * cost)).
std::vector<std::int64_t> chain_ward_below(const float* embeddings, std::size_t length, std::size_t width,
                                           double threshold);

/// A join of two neighbours.
struct ChainJoin {
    std::int64_t row;  // the first row of the later one, where no segment starts any more
    double cost;       // in the unit of RunningWard's threshold
};

/// All joins down to one segment, in their order: the dendrogram. The rows of the last n - 1 of them, and row 0, are where
/// the segments of chain_ward(n) start.
std::vector<ChainJoin> chain_ward_joins(const float* embeddings, std::size_t length, std::size_t width);

}  // namespace vljepa
