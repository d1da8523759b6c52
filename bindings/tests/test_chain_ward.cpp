#include <algorithm>
#include <limits>
#include <vector>

#include "check.hpp"
#include "vljepa/chain_ward.hpp"
#include "vljepa/error.hpp"

namespace {

using Starts = std::vector<std::int64_t>;

// Greedy O(T^2) Ward on neighbours, straight from the definition.
Starts greedy(const std::vector<float>& rows, std::size_t length, std::size_t width, std::size_t segments) {
    struct Cluster {
        std::int64_t start;
        double count;
        std::vector<double> mean;
    };
    std::vector<Cluster> clusters;
    for (std::size_t t = 0; t < length; ++t) {
        const auto row = rows.begin() + static_cast<std::ptrdiff_t>(t * width);
        clusters.push_back({static_cast<std::int64_t>(t), 1.0, {row, row + static_cast<std::ptrdiff_t>(width)}});
    }
    while (clusters.size() > segments) {
        std::size_t best = 0;
        double lowest = std::numeric_limits<double>::infinity();
        for (std::size_t c = 0; c + 1 < clusters.size(); ++c) {
            const Cluster& a = clusters[c];
            const Cluster& b = clusters[c + 1];
            double cost = 0.0;
            for (std::size_t i = 0; i < width; ++i) cost += (a.mean[i] - b.mean[i]) * (a.mean[i] - b.mean[i]);
            cost *= a.count * b.count / (a.count + b.count);
            if (cost < lowest) {
                lowest = cost;
                best = c;
            }
        }
        Cluster& a = clusters[best];
        const Cluster b = clusters[best + 1];
        for (std::size_t i = 0; i < width; ++i) {
            a.mean[i] = (a.mean[i] * a.count + b.mean[i] * b.count) / (a.count + b.count);
        }
        a.count += b.count;
        clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Starts starts;
    for (const Cluster& cluster : clusters) starts.push_back(cluster.start);
    return starts;
}

void equals_the_greedy_definition() {
    for (const std::size_t length : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{50}}) {
        for (const std::size_t width : {std::size_t{1}, std::size_t{7}, std::size_t{64}}) {
            const std::vector<float> rows = random_units(length, width + 1, 4);  // width 1 would be all ties
            for (std::size_t segments = 1; segments <= length; ++segments) {
                CHECK(vljepa::chain_ward(rows.data(), length, width + 1, segments) ==
                      greedy(rows, length, width + 1, segments));
            }
        }
    }
}

void threshold_is_a_cost() {
    // |a - b|^2 = 4 between the runs: the join of 2 and 3 equal embeddings costs 2*3/5 * 4 = 4.8.
    const std::vector<float> rows = {1.0F, 1.0F, -1.0F, -1.0F, -1.0F};
    CHECK((vljepa::chain_ward_below(rows.data(), 5, 1, 0.0) == Starts{0, 2}));
    CHECK((vljepa::chain_ward_below(rows.data(), 5, 1, 4.7) == Starts{0, 2}));
    CHECK((vljepa::chain_ward_below(rows.data(), 5, 1, 4.9) == Starts{0}));
}

void refuses() {
    const std::vector<float> rows = {1.0F, std::numeric_limits<float>::infinity()};
    CHECK_THROWS(vljepa::chain_ward(rows.data(), 2, 1, 1), vljepa::InputError);
    CHECK_THROWS(vljepa::chain_ward(rows.data(), 1, 1, 0), vljepa::InputError);
    CHECK_THROWS(vljepa::chain_ward(rows.data(), 1, 1, 2), vljepa::InputError);
    CHECK_THROWS(vljepa::chain_ward(rows.data(), 0, 1, 1), vljepa::InputError);
    CHECK_THROWS(vljepa::chain_ward_below(rows.data(), 1, 1, -1.0), vljepa::InputError);
}

}  // namespace

int main() {
    equals_the_greedy_definition();
    threshold_is_a_cost();
    refuses();
}
