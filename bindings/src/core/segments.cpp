#include "core/segments.hpp"

#include <algorithm>

namespace vljepa {

double Segments::told(double time, double since) const { return std::max(since, earliest_.value_or(time)); }

std::vector<Span> Segments::push(double time, bool closes, bool opens, double since, double start) {
    const double earliest = earliest_.value_or(time);
    double boundary = earliest;
    // A segment that starts with the newest frame has a length, too.
    if (start_) boundary = std::min((since + start) / 2.0, (hop_ + time) / 2.0);
    earliest_ = earliest;
    hop_ = time;
    std::vector<Span> found;
    if (closes && start_) found.push_back(close(boundary));
    if (opens) {
        start_ = boundary;
        found.push_back({++segment_, boundary, std::nullopt});
    }
    return found;
}

std::optional<Span> Segments::end(double time, bool closes) {
    if (!closes || !start_) return std::nullopt;
    earliest_ = time;
    return close(std::max(time, *start_));
}

void Segments::reset() {
    segment_ = -1;
    start_.reset();
    earliest_.reset();
}

Span Segments::close(double end) {
    const Span span{segment_, *start_, end};
    start_.reset();
    return span;
}

}  // namespace vljepa
