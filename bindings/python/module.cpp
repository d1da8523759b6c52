// The Python module vljepa_edge._core. It checks arrays and holds locks; all else is in the core library.
// Stubs: vljepa_edge/_core.pyi.

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "vljepa/chain_ward.hpp"
#include "vljepa/error.hpp"
#include "vljepa/policy.hpp"
#include "vljepa/sliding_stats.hpp"

namespace {

// What Python sees of a policy, whichever it is.
class PolicyState {
  public:
    explicit PolicyState(std::unique_ptr<vljepa::Policy> policy) : policy_(std::move(policy)) {}

    std::size_t width() const { return policy_.object->width(); }

    vljepa::Decision push(const py::object& embedding, double time, std::optional<double> since) {
        const Floats array = as_embedding(embedding, width());
        const float* data = array.data();
        return policy_.with([&](auto& policy) { return policy->push(data, policy->width(), time, since); });
    }
    vljepa::Decision flush(double time) {
        return policy_.with([&](auto& policy) { return policy->flush(time); });
    }
    void reset() {
        policy_.with([](auto& policy) { policy->reset(); });
    }

  private:
    Locked<std::unique_ptr<vljepa::Policy>> policy_;
};

using Stats = Locked<vljepa::SlidingStats>;

py::array_t<std::int64_t> chain_ward(const py::object& embeddings, std::optional<py::ssize_t> segments,
                                     std::optional<double> threshold) {
    const Floats array = as_floats(embeddings, 2, "(time, width)");
    if (segments.has_value() == threshold.has_value()) {
        throw vljepa::InputError("chain_ward needs n_segments or threshold, one of them");
    }
    if (segments && *segments < 1) {
        throw vljepa::InputError(std::to_string(*segments) + " segments are not supported; use at least 1");
    }
    const float* data = array.data();
    const auto length = static_cast<std::size_t>(array.shape(0));
    const auto width = static_cast<std::size_t>(array.shape(1));
    std::vector<std::int64_t> starts;
    {
        py::gil_scoped_release release;
        starts = segments ? vljepa::chain_ward(data, length, width, static_cast<std::size_t>(*segments))
                          : vljepa::chain_ward_below(data, length, width, *threshold);
    }
    return to_array(starts);
}

py::tuple chain_ward_joins(const py::object& embeddings) {
    const Floats array = as_floats(embeddings, 2, "(time, width)");
    const float* data = array.data();
    const auto length = static_cast<std::size_t>(array.shape(0));
    const auto width = static_cast<std::size_t>(array.shape(1));
    std::vector<std::int64_t> rows;
    std::vector<double> costs;
    {
        py::gil_scoped_release release;
        for (const vljepa::ChainJoin& join : vljepa::chain_ward_joins(data, length, width)) {
            rows.push_back(join.row);
            costs.push_back(join.cost);
        }
    }
    return py::make_tuple(to_array(rows), to_array(costs));
}

// A C++ InputError is raised as vljepa_edge.errors.InputError.
void translate(std::exception_ptr pointer) {
    try {
        if (pointer) std::rethrow_exception(pointer);
    } catch (const vljepa::InputError& error) {
        const py::object type = py::module_::import("vljepa_edge.errors").attr("InputError");
        py::set_error(type, error.what());
    }
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "The C++ core: what streams decide by.";
    py::register_local_exception_translator(translate);

    py::class_<vljepa::Segment>(m, "Segment")
        .def_readonly("start", &vljepa::Segment::start)
        .def_readonly("end", &vljepa::Segment::end)
        .def_property_readonly("mean", [](const vljepa::Segment& segment) { return to_array(segment.mean); })
        .def_readonly("count", &vljepa::Segment::count)
        .def_readonly("score", &vljepa::Segment::score)
        .def("__repr__", [](const vljepa::Segment& s) {
            return py::str("Segment(start={}, end={}, count={}, score={})").format(s.start, s.end, s.count, s.score);
        });

    py::class_<vljepa::Decision>(m, "Decision")
        .def_readonly("opened", &vljepa::Decision::opened)
        .def_readonly("start", &vljepa::Decision::start)
        .def_readonly("since", &vljepa::Decision::since)
        .def_readonly("score", &vljepa::Decision::score)
        .def_readonly("closed", &vljepa::Decision::closed)
        .def("__repr__", [](const vljepa::Decision& d) {
            return py::str("Decision(opened={}, start={}, score={}, closed={})")
                .format(d.opened, d.start, d.score, d.closed);
        });

    py::class_<PolicyState>(m, "PolicyState")
        .def_property_readonly("width", &PolicyState::width)
        .def("push", &PolicyState::push, py::arg("embedding"), py::arg("time"), py::arg("since") = py::none())
        .def("flush", &PolicyState::flush, py::arg("time"))
        .def("reset", &PolicyState::reset);

    m.def(
        "uniform",
        [](std::size_t width, double period) {
            return std::make_unique<PolicyState>(std::make_unique<vljepa::Uniform>(width, period));
        },
        py::arg("width"), py::kw_only(), py::arg("period"));
    m.def(
        "local_variance",
        [](std::size_t width, double threshold, std::size_t window, std::size_t smooth, double min_duration) {
            const vljepa::LocalVarianceOptions options{threshold, window, smooth, min_duration};
            return std::make_unique<PolicyState>(std::make_unique<vljepa::LocalVariance>(width, options));
        },
        py::arg("width"), py::kw_only(), py::arg("threshold"), py::arg("window"), py::arg("smooth"),
        py::arg("min_duration"));
    m.def(
        "running_ward",
        [](std::size_t width, double threshold, std::size_t smooth, double min_duration, double max_duration,
           double back) {
            const vljepa::RunningWardOptions options{threshold, smooth, min_duration, max_duration, back};
            return std::make_unique<PolicyState>(std::make_unique<vljepa::RunningWard>(width, options));
        },
        py::arg("width"), py::kw_only(), py::arg("threshold"), py::arg("smooth"), py::arg("min_duration"),
        py::arg("max_duration"), py::arg("back"));
    m.def(
        "budget",
        [](std::size_t width, double per_minute, std::size_t burst, double least, std::size_t smooth,
           double min_duration, double back) {
            const vljepa::BudgetOptions options{per_minute, burst, least, smooth, min_duration, back};
            return std::make_unique<PolicyState>(std::make_unique<vljepa::Budget>(width, options));
        },
        py::arg("width"), py::kw_only(), py::arg("per_minute"), py::arg("burst"), py::arg("least"), py::arg("smooth"),
        py::arg("min_duration"), py::arg("back"));

    py::class_<Stats>(m, "SlidingStats")
        .def(py::init<std::size_t, std::size_t>(), py::arg("width"), py::arg("window"))
        .def_property_readonly("width", [](const Stats& stats) { return stats.object.width(); })
        .def_property_readonly("window", [](const Stats& stats) { return stats.object.window(); })
        .def_property_readonly("count", [](Stats& stats) { return stats.with([](auto& s) { return s.count(); }); })
        .def_property_readonly("mean",
                               [](Stats& stats) {
                                   const std::vector<double> mean = stats.with([](auto& s) { return s.mean(); });
                                   return py::array_t<float>(to_array(mean));
                               })
        .def_property_readonly("variance",
                               [](Stats& stats) { return stats.with([](auto& s) { return s.variance(); }); })
        .def(
            "push",
            [](Stats& stats, const py::object& embedding) {
                const Floats array = as_embedding(embedding, stats.object.width());
                const float* data = array.data();
                stats.with([&](auto& s) { s.push(data); });
            },
            py::arg("embedding"))
        .def("clear", [](Stats& stats) { stats.with([](auto& s) { s.clear(); }); });

    add_streams(m);

    m.def("chain_ward_joins", &chain_ward_joins, py::arg("embeddings"));
    m.def("chain_ward", &chain_ward, py::arg("embeddings"), py::arg("n_segments") = py::none(), py::kw_only(),
          py::arg("threshold") = py::none());
}
