// What streams are made of: sampling, the window, still scenes, cuts, segments, what is watched for, texts used again.

#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "arrays.hpp"
#include "core/pace.hpp"
#include "core/said.hpp"
#include "core/segments.hpp"
#include "core/shots.hpp"
#include "core/still.hpp"
#include "core/watch.hpp"
#include "core/window_places.hpp"
#include "vljepa/head.hpp"
#include "vljepa/sampler.hpp"

namespace {

using Grid = Locked<vljepa::Grid>;
using Sampler = Locked<vljepa::Sampler>;
using WindowPlaces = Locked<vljepa::WindowPlaces>;
using Still = Locked<vljepa::Still>;
using ShotDetector = Locked<vljepa::ShotDetector>;
using Pace = Locked<vljepa::Pace>;
using Segments = Locked<vljepa::Segments>;
using HysteresisState = Locked<vljepa::Hysteresis>;
using Watch = Locked<vljepa::Watch>;
using Said = Locked<vljepa::Said>;

// In the order of vljepa::Verdict; of those that are counted, the names of the counts.
constexpr std::array<const char*, 7> kVerdicts{"due", "skipped", "repeated", "backwards", "bad_times", "restarts", "gaps"};

using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

// The bytes of a frame (height, width, 3).
class Frame {
  public:
    explicit Frame(const Bytes& array) : array_(array) {
        if (array.ndim() == 3 && array.shape(2) == 3) return;
        throw vljepa::InputError("a frame must be uint8 (height, width, 3), got " + describe(array));
    }

    const std::uint8_t* data() const { return array_.data(); }
    std::size_t width() const { return static_cast<std::size_t>(array_.shape(1)); }
    std::size_t height() const { return static_cast<std::size_t>(array_.shape(0)); }

  private:
    const Bytes& array_;
};

void add_sampling(py::module_& m) {
    m.attr("ROUNDING") = vljepa::kRounding;
    m.attr("EARLY") = vljepa::kEarly;
    py::class_<Grid>(m, "Grid")
        .def(py::init<std::optional<double>, double>(), py::arg("fps"), py::arg("early") = 0.0)
        .def("takes", [](Grid& grid, double time) { return grid.at_once([=](auto& g) { return g.takes(time); }); },
             py::arg("time"))
        .def("is_due", [](Grid& grid, double time) { return grid.at_once([=](auto& g) { return g.is_due(time); }); },
             py::arg("time"))
        .def("take", [](Grid& grid, double time) { grid.at_once([=](auto& g) { g.take(time); }); }, py::arg("time"));
    py::class_<Sampler>(m, "Sampler")
        .def(py::init<double, double>(), py::arg("fps"), py::arg("gap"))
        .def(
            "judge",
            [](Sampler& sampler, double time) {
                return kVerdicts[static_cast<std::size_t>(sampler.at_once([=](auto& s) { return s.judge(time); }))];
            },
            py::arg("time"))
        .def("take", [](Sampler& sampler, double time) { sampler.at_once([=](auto& s) { s.take(time); }); },
             py::arg("time"))
        .def("restart", [](Sampler& sampler) { sampler.at_once([](auto& s) { s.restart(); }); });
}

void add_window(py::module_& m) {
    py::class_<WindowPlaces>(m, "WindowPlaces")
        .def(py::init<py::ssize_t>(), py::arg("size"))
        .def_property_readonly("size", [](const WindowPlaces& places) { return places.object.size(); })
        .def_property_readonly("first", [](WindowPlaces& p) { return p.at_once([](auto& o) { return o.first(); }); })
        .def("__len__", [](WindowPlaces& p) { return p.at_once([](auto& o) { return o.count(); }); })
        .def_property_readonly("times",
                               [](const py::object& self) {  // of its own memory, which stays where it is
                                   auto& places = self.cast<WindowPlaces&>();
                                   return py::array_t<double>(static_cast<py::ssize_t>(places.object.size()),
                                                              places.at_once([](auto& o) { return o.times(); }), self);
                               })
        .def("push", [](WindowPlaces& p, double time) { return p.at_once([=](auto& o) { return o.push(time); }); },
             py::arg("time"))
        .def("place", [](WindowPlaces& p, std::size_t age) { return p.at_once([=](auto& o) { return o.place(age); }); },
             py::arg("age"))
        .def("copy", [](WindowPlaces& p) {
            return std::make_unique<WindowPlaces>(p.at_once([](auto& o) -> vljepa::WindowPlaces { return o; }));
        })
        .def("clear", [](WindowPlaces& p) { p.at_once([](auto& o) { o.clear(); }); });
}

void add_still(py::module_& m) {
    py::class_<Still>(m, "Still")
        .def(py::init<std::size_t, double, double>(), py::arg("window"), py::arg("longest"), py::arg("levels"))
        .def_property_readonly("same", [](Still& still) { return still.at_once([](auto& s) { return s.same(); }); })
        .def(
            "is_repeated",
            [](Still& still, const Bytes& array) {
                const Frame frame(array);
                return still.at_once([&](auto& s) { return s.is_repeated(frame.data(), frame.width(), frame.height()); });
            },
            py::arg("frame"))
        .def("is_fresh", [](Still& still, double time) { return still.at_once([=](auto& s) { return s.is_fresh(time); }); },
             py::arg("time"))
        .def(
            "keep",
            [](Still& still, const Bytes& array, double time) {
                const Frame frame(array);
                still.at_once([&](auto& s) { s.keep(frame.data(), frame.width(), frame.height(), time); });
            },
            py::arg("frame"), py::arg("time"))
        .def("forget", [](Still& still) { still.at_once([](auto& s) { s.forget(); }); })
        .def("count", [](Still& still, bool repeats) { return still.at_once([=](auto& s) { return s.count(repeats); }); },
             py::arg("repeats"))
        .def("clear", [](Still& still) { still.at_once([](auto& s) { s.clear(); }); });
}

void add_shots(py::module_& m) {
    py::class_<ShotDetector>(m, "ShotDetector")
        .def(py::init<std::size_t>(), py::arg("frames"))
        .def(
            "begins",
            [](ShotDetector& shots, const Bytes& array, const std::vector<Floats>& features) {
                const Frame frame(array);
                std::vector<vljepa::ShotDetector::Row> rows;
                for (const Floats& feature : features) rows.push_back({feature.data(), static_cast<std::size_t>(feature.size())});
                return shots.at_once([&](auto& s) { return s.begins(frame.data(), frame.width(), frame.height(), rows); });
            },
            py::arg("frame"), py::arg("features"))
        .def("clear", [](ShotDetector& shots) { shots.at_once([](auto& s) { s.clear(); }); });
}

void add_pace(py::module_& m) {
    py::class_<Pace>(m, "Pace")
        .def(py::init<double, double>(), py::arg("period"), py::arg("patience"))
        .def("restart", [](Pace& pace) { pace.at_once([](auto& p) { p.restart(); }); })
        .def("note_frame", [](Pace& pace, double seconds) { pace.at_once([=](auto& p) { p.note_frame(seconds); }); },
             py::arg("seconds"))
        .def("note_hop", [](Pace& pace, double seconds) { pace.at_once([=](auto& p) { p.note_hop(seconds); }); },
             py::arg("seconds"))
        .def_property_readonly("keeps_up", [](Pace& pace) { return pace.at_once([](auto& p) { return p.keeps_up(); }); })
        .def(
            "can_hop",
            [](Pace& pace, double waited, std::size_t waiting) {
                return pace.at_once([=](auto& p) { return p.can_hop(waited, waiting); });
            },
            py::arg("waited"), py::arg("waiting"));
}

using SpanTuple = std::tuple<std::int64_t, double, std::optional<double>>;

SpanTuple as_tuple(const vljepa::Span& span) { return {span.segment, span.start, span.end}; }

void add_segments(py::module_& m) {
    py::class_<Segments>(m, "Segments")
        .def(py::init<>())
        .def(
            "told",
            [](Segments& segments, double time, double since) {
                return segments.at_once([=](auto& s) { return s.told(time, since); });
            },
            py::arg("time"), py::arg("since"))
        .def(
            "push",
            [](Segments& segments, double time, bool closes, bool opens, double since, double start) {
                std::vector<SpanTuple> found;
                segments.at_once([&](auto& s) {
                    for (const vljepa::Span& span : s.push(time, closes, opens, since, start)) found.push_back(as_tuple(span));
                });
                return found;
            },
            py::arg("time"), py::arg("closes"), py::arg("opens"), py::arg("since"), py::arg("start"))
        .def(
            "end",
            [](Segments& segments, double time, bool closes) {
                const auto span = segments.at_once([=](auto& s) { return s.end(time, closes); });
                return span ? std::optional(as_tuple(*span)) : std::nullopt;
            },
            py::arg("time"), py::arg("closes"))
        .def("restart_clock", [](Segments& segments) { segments.at_once([](auto& s) { s.restart_clock(); }); })
        .def("reset", [](Segments& segments) { segments.at_once([](auto& s) { s.reset(); }); });
}

using OccurrenceTuple = std::tuple<double, std::optional<double>, double>;

std::optional<OccurrenceTuple> as_tuple(const std::optional<vljepa::Occurrence>& occurrence) {
    if (!occurrence) return std::nullopt;
    return OccurrenceTuple{occurrence->start, occurrence->end, occurrence->peak};
}

using SightingTuple = std::tuple<std::size_t, std::int64_t, double, std::optional<double>, double>;

std::vector<SightingTuple> as_tuples(const std::vector<vljepa::Sighting>& sightings) {
    std::vector<SightingTuple> found;
    for (const vljepa::Sighting& s : sightings) found.emplace_back(s.which, s.number, s.start, s.end, s.probability);
    return found;
}

void add_watch(py::module_& m) {
    py::class_<HysteresisState>(m, "HysteresisState")
        .def(py::init([](double begin, double end, double hold) {
                 return std::make_unique<HysteresisState>(vljepa::HysteresisOptions{begin, end, hold});
             }),
             py::arg("begin"), py::arg("end"), py::arg("hold"))
        .def_property_readonly("is_seen", [](HysteresisState& h) { return h.at_once([](auto& o) { return o.is_seen(); }); })
        .def_property_readonly("peak", [](HysteresisState& h) { return h.at_once([](auto& o) { return o.peak(); }); })
        .def(
            "push",
            [](HysteresisState& h, double probability, double time, double told_as) {
                return as_tuple(h.at_once([=](auto& o) { return o.push(probability, time, told_as); }));
            },
            py::arg("probability"), py::arg("time"), py::arg("told_as"))
        .def("finish", [](HysteresisState& h) { return as_tuple(h.at_once([](auto& o) { return o.finish(); })); })
        .def("restart_clock", [](HysteresisState& h) { h.at_once([](auto& o) { o.restart_clock(); }); })
        .def("reset", [](HysteresisState& h) { h.at_once([](auto& o) { o.reset(); }); });
    py::class_<Watch>(m, "Watch")
        .def(py::init([](const std::vector<std::tuple<double, double, double>>& policies) {
                 std::vector<vljepa::HysteresisOptions> options;
                 for (const auto& [begin, end, hold] : policies) options.push_back({begin, end, hold});
                 return std::make_unique<Watch>(options);
             }),
             py::arg("policies"))
        .def(
            "push",
            [](Watch& watch, const py::array_t<double, py::array::c_style | py::array::forcecast>& chances, double time,
               double since) {
                const std::vector<double> given(chances.data(), chances.data() + chances.size());
                return as_tuples(watch.at_once([&](auto& w) { return w.push(given, time, since); }));
            },
            py::arg("chances"), py::arg("time"), py::arg("since"))
        .def_property_readonly("seen", [](Watch& watch) { return watch.at_once([](auto& w) { return w.seen(); }); })
        .def("end", [](Watch& watch, double last) { return as_tuples(watch.at_once([=](auto& w) { return w.end(last); })); },
             py::arg("last"))
        .def("restart_clock", [](Watch& watch) { watch.at_once([](auto& w) { w.restart_clock(); }); })
        .def("reset", [](Watch& watch) { watch.at_once([](auto& w) { w.reset(); }); });
}

void add_said(py::module_& m) {
    py::class_<Said>(m, "Said")
        .def(py::init<double>(), py::arg("radius"))
        .def("__len__", [](Said& said) { return said.at_once([](auto& s) { return s.count(); }); })
        .def(
            "find",
            [](Said& said, const py::object& embedding, bool is_mean) {
                const Floats row = as_embedding(embedding, said.object.width());
                const auto width = static_cast<std::size_t>(row.size());
                return said.at_once([&](auto& s) { return s.find(row.data(), width, is_mean); });
            },
            py::arg("embedding"), py::arg("is_mean"))
        .def(
            "keep",
            [](Said& said, const py::object& embedding, bool is_mean) {
                const Floats row = as_embedding(embedding, said.object.width());
                const auto width = static_cast<std::size_t>(row.size());
                return said.at_once([&](auto& s) { return s.keep(row.data(), width, is_mean); });
            },
            py::arg("embedding"), py::arg("is_mean"));
}

}  // namespace

void add_streams(py::module_& m) {
    add_sampling(m);
    add_window(m);
    add_still(m);
    add_shots(m);
    add_pace(m);
    add_segments(m);
    add_watch(m);
    add_said(m);
}
