// A head on features that are read from stdin, for tests/core/test_head.py: it must decide as Python does.
//
// In: labels width slope offset begin end hold hops, then the weights, the bias, and for each hop its time, the middle
// of its window and its features. Out: for each hop `p` and the probabilities, `o` and the label, start, end (nan while
// it lasts) and peak of what began or ended. At the end of the stream what has begun ends.

#include <cstdio>
#include <iostream>
#include <limits>
#include <vector>

#include "vljepa/head.hpp"

namespace {

void tell(std::size_t label, const vljepa::Occurrence& one) {
    std::printf("o %zu %.17g %.17g %.17g\n", label, one.start, one.end.value_or(std::numeric_limits<double>::quiet_NaN()),
                one.peak);
}

}  // namespace

int main() {
    std::size_t labels = 0;
    std::size_t width = 0;
    std::size_t hops = 0;
    double slope = 0.0;
    double offset = 0.0;
    vljepa::HysteresisOptions options;
    std::cin >> labels >> width >> slope >> offset >> options.begin >> options.end >> options.hold >> hops;
    std::vector<float> weights(labels * width);
    std::vector<float> bias(labels);
    for (float& value : weights) std::cin >> value;
    for (float& value : bias) std::cin >> value;
    const vljepa::Head head(weights, bias, slope, offset);
    std::vector<vljepa::Hysteresis> states(labels, vljepa::Hysteresis(options));
    std::vector<float> features(width);
    std::vector<double> found(labels);
    for (std::size_t hop = 0; hop < hops; ++hop) {
        double time = 0.0;
        double middle = 0.0;
        std::cin >> time >> middle;
        for (float& value : features) std::cin >> value;
        if (!std::cin) return 1;
        head.probabilities(features.data(), found.data());
        std::printf("p");
        for (const double value : found) std::printf(" %.17g", value);
        std::printf("\n");
        for (std::size_t label = 0; label < labels; ++label) {
            if (const auto one = states[label].push(found[label], time, middle)) tell(label, *one);
        }
    }
    for (std::size_t label = 0; label < labels; ++label) {
        if (const auto one = states[label].finish()) tell(label, *one);
    }
}
