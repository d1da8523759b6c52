// What streams are made of: sampling, the window, still scenes, texts that are used again.

#include <pybind11/stl.h>

#include <array>
#include <optional>

#include "arrays.hpp"
#include "core/said.hpp"
#include "core/still.hpp"
#include "core/window_places.hpp"
#include "vljepa/sampler.hpp"

namespace {

using Grid = Locked<vljepa::Grid>;
using Sampler = Locked<vljepa::Sampler>;
using WindowPlaces = Locked<vljepa::WindowPlaces>;
using Still = Locked<vljepa::Still>;
using Said = Locked<vljepa::Said>;

// In the order of vljepa::Verdict; of those that are counted, the names of the counts.
constexpr std::array<const char*, 7> kVerdicts{"due", "skipped", "repeated", "backwards", "bad_times", "restarts", "gaps"};

// The bytes of a frame (height, width, 3).
class Frame {
  public:
    explicit Frame(const py::array_t<std::uint8_t, py::array::c_style>& array) : array_(array) {
        if (array.ndim() == 3 && array.shape(2) == 3) return;
        throw vljepa::InputError("a frame must be uint8 (height, width, 3), got " + describe(array));
    }

    const std::uint8_t* data() const { return array_.data(); }
    std::size_t width() const { return static_cast<std::size_t>(array_.shape(1)); }
    std::size_t height() const { return static_cast<std::size_t>(array_.shape(0)); }

  private:
    const py::array_t<std::uint8_t, py::array::c_style>& array_;
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
    using Array = py::array_t<std::uint8_t, py::array::c_style>;
    py::class_<Still>(m, "Still")
        .def(py::init<std::size_t, double, double>(), py::arg("window"), py::arg("longest"), py::arg("levels"))
        .def_property_readonly("same", [](Still& still) { return still.at_once([](auto& s) { return s.same(); }); })
        .def(
            "is_repeated",
            [](Still& still, const Array& array) {
                const Frame frame(array);
                return still.at_once([&](auto& s) { return s.is_repeated(frame.data(), frame.width(), frame.height()); });
            },
            py::arg("frame"))
        .def("is_fresh", [](Still& still, double time) { return still.at_once([=](auto& s) { return s.is_fresh(time); }); },
             py::arg("time"))
        .def(
            "keep",
            [](Still& still, const Array& array, double time) {
                const Frame frame(array);
                still.at_once([&](auto& s) { s.keep(frame.data(), frame.width(), frame.height(), time); });
            },
            py::arg("frame"), py::arg("time"))
        .def("forget", [](Still& still) { still.at_once([](auto& s) { s.forget(); }); })
        .def("count", [](Still& still, bool repeats) { return still.at_once([=](auto& s) { return s.count(repeats); }); },
             py::arg("repeats"))
        .def("clear", [](Still& still) { still.at_once([](auto& s) { s.clear(); }); });
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
    add_said(m);
}
