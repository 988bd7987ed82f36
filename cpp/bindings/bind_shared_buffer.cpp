#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "bindings.hpp"
#include "numeric_buffer.hpp"
#include "osthread/shared_buffer.hpp"
#include "python_shared.hpp"
#include "python_wait.hpp"

namespace osthread::python {

void ReleasableBuffer::release() {
  if (views_ > 0) {
    PyErr_SetString(PyExc_BufferError,
                    "this SharedBuffer can't be released: memoryviews or arrays of it exist");
    throw py::error_already_set();
  }
  buffer_.reset();
}

namespace {

using PyBuffer = Shared<ReleasableBuffer>;

DType dtype_of_kind(NumericBuffer::Kind kind) noexcept {
  // In the order of NumericBuffer::Kind.
  constexpr std::array kDTypes{DType::boolean, DType::int8,    DType::int16,  DType::int32,
                               DType::int64,   DType::uint8,   DType::uint16, DType::uint32,
                               DType::uint64,  DType::float32, DType::float64};
  return kDTypes[static_cast<std::size_t>(kind)];
}

// The struct module's code, as NumPy extends it; null: it depends on the structure.
const char* format_of(const SharedBuffer& buffer) noexcept {
  switch (buffer.dtype()) {
    case DType::boolean:
      return "?";
    case DType::int8:
      return "b";
    case DType::int16:
      return "h";
    case DType::int32:
      return "i";
    case DType::int64:
      return "q";
    case DType::uint8:
      return "B";
    case DType::uint16:
      return "H";
    case DType::uint32:
      return "I";
    case DType::uint64:
      return "Q";
    case DType::float16:
      return "e";
    case DType::float32:
      return "f";
    case DType::float64:
      return "d";
    case DType::complex64:
      return "Zf";
    case DType::complex128:
      return "Zd";
    case DType::structure:
      break;
  }
  return buffer.structure().format.c_str();
}

DType dtype_of_view(const Py_buffer& view) {
  std::string_view format = view.format ? view.format : "B";
  if (const auto kind = NumericBuffer::kind_of(view)) return dtype_of_kind(*kind);
  constexpr char kOrder = std::endian::native == std::endian::little ? '<' : '>';
  if (format.starts_with('@') || format.starts_with('=') || format.starts_with(kOrder))
    format.remove_prefix(1);
  if (format == "c") return DType::uint8;
  if (format == "e") return DType::float16;
  if (format == "Zf") return DType::complex64;
  if (format == "Zd") return DType::complex128;
  const std::string name(format);
  if (format.starts_with('>') || format.starts_with('<') || format.starts_with('!'))
    throw py::type_error("elements of the format '" + name +
                         "' are not in this machine's byte order; pass a.astype(a.dtype.newbyteorder('='))");
  throw py::type_error(
      "elements of the format '" + name +
      "' can't be shared with Lua: booleans, integers, floats and complex numbers of up to 64 bits a "
      "part can, and NumPy's structures of them");
}

// The owner of a buffer that Python lends: dropped on any thread.
std::shared_ptr<void> keep(py::object view) { return std::make_shared<Reference>(std::move(view)); }

std::unique_ptr<PyBuffer> lend(const py::object& object, const std::optional<std::string>& declaration) {
  auto lent = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(object.ptr()));
  if (!lent) throw py::error_already_set();
  const Py_buffer& view = *PyMemoryView_GET_BUFFER(lent.ptr());
  if (!PyBuffer_IsContiguous(&view, 'C'))
    throw py::value_error("this array is not C-contiguous; pass np.ascontiguousarray(a), which copies");
  std::vector<std::size_t> shape;
  for (int i = 0; i < view.ndim; ++i) shape.push_back(static_cast<std::size_t>(view.shape[i]));
  const bool readonly = view.readonly != 0;
  void* const data = view.buf;
  if (declaration) {
    Structure structure{*declaration, static_cast<std::size_t>(view.itemsize),
                        view.format ? view.format : "B"};
    return std::make_unique<PyBuffer>(PyBuffer{
        ReleasableBuffer(SharedBuffer(data, std::move(structure), shape, keep(std::move(lent)), readonly)),
        Encoding()});
  }
  const DType dtype = dtype_of_view(view);
  return std::make_unique<PyBuffer>(PyBuffer{
      ReleasableBuffer(SharedBuffer(data, dtype, shape, keep(std::move(lent)), readonly)), Encoding()});
}

std::size_t index_of(const SharedBuffer& buffer, py::ssize_t index) {
  if (index < 0)
    throw py::index_error("index " + std::to_string(index) + " is out of range: this buffer has " +
                          std::to_string(buffer.size()) + " elements, counted from 0");
  return static_cast<std::size_t>(index);
}

Value number_of(const py::object& object, const char* name) { return to_value(object, name, Encoding()); }

// In these the buffer is a handle of its own: it may be released while a number is asked what it is.
py::object add(Self<PyBuffer> self, py::ssize_t index, const py::object& x) {
  SharedBuffer buffer = self->object.get();
  return to_python(buffer.add(index_of(buffer, index), number_of(x, "x")), Encoding());
}

bool compare_and_set(Self<PyBuffer> self, py::ssize_t index, const py::object& old, const py::object& then) {
  SharedBuffer buffer = self->object.get();
  return buffer.compare_and_set(index_of(buffer, index), number_of(old, "old"), number_of(then, "new"));
}

bool wait(Self<PyBuffer> self, py::ssize_t index, const py::object& old, const py::object& timeout) {
  const SharedBuffer buffer = self->object.get();
  const std::size_t at = index_of(buffer, index);
  const Value expected = number_of(old, "old");
  const auto deadline = deadline_of(timeout);
  return wait_for([&] { return host::wait(buffer, at, expected, deadline); });
}

void notify(Self<PyBuffer> self, py::ssize_t index) {
  SharedBuffer& buffer = self->object.get();
  buffer.notify(index_of(buffer, index));
}

// --- Python's buffer protocol, of which pybind11's own does not tell when a view goes ---

struct View {
  std::vector<py::ssize_t> shape;
  std::vector<py::ssize_t> strides;
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) noexcept {
  view->obj = nullptr;
  auto* shared = made<PyBuffer>(self);
  if (!shared || shared->object.released()) {
    PyErr_SetString(PyExc_ValueError, shared ? "this SharedBuffer has been released"
                                             : "SharedBuffer.__init__() has not been called");
    return -1;
  }
  const SharedBuffer& buffer = shared->object.get();
  if ((flags & PyBUF_WRITABLE) != 0 && buffer.readonly()) {
    PyErr_SetString(PyExc_BufferError, "this SharedBuffer is read-only");
    return -1;
  }
  try {
    auto made_view = std::make_unique<View>();
    auto stride = static_cast<py::ssize_t>(buffer.itemsize());
    for (const std::size_t length : buffer.shape())
      made_view->shape.push_back(static_cast<py::ssize_t>(length));
    made_view->strides.resize(made_view->shape.size());
    for (std::size_t i = made_view->shape.size(); i-- > 0;) {
      made_view->strides[i] = stride;
      stride *= made_view->shape[i];
    }
    view->buf = buffer.data();
    view->itemsize = static_cast<py::ssize_t>(buffer.itemsize());
    view->len = static_cast<py::ssize_t>(buffer.size()) * view->itemsize;
    view->readonly = buffer.readonly();
    view->format = (flags & PyBUF_FORMAT) != 0 ? const_cast<char*>(format_of(buffer)) : nullptr;
    const bool shaped = (flags & PyBUF_ND) != 0;
    view->ndim = shaped ? static_cast<int>(made_view->shape.size()) : 1;
    view->shape = shaped ? made_view->shape.data() : nullptr;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? made_view->strides.data() : nullptr;
    view->suboffsets = nullptr;
    view->internal = made_view.release();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  shared->object.count_view(1);
  view->obj = self;
  Py_INCREF(self);
  return 0;
}

void release_buffer(PyObject* self, Py_buffer* view) noexcept {
  delete static_cast<View*>(view->internal);
  if (auto* shared = made<PyBuffer>(self)) shared->object.count_view(-1);
}

py::custom_type_setup lends() {
  return py::custom_type_setup([](PyHeapTypeObject* heap_type) {
    heap_type->as_buffer.bf_getbuffer = get_buffer;
    heap_type->as_buffer.bf_releasebuffer = release_buffer;
    heap_type->ht_type.tp_as_buffer = &heap_type->as_buffer;
  });
}

}  // namespace

void bind_shared_buffer(py::module_& module) {
  py::class_<PyBuffer>(module, "SharedBuffer",
                       "Memory that both sides see; osthread.SharedBuffer is its public face.", lends())
      .def(py::init([](const Handle& handle) {
             return std::make_unique<PyBuffer>(
                 PyBuffer{ReleasableBuffer(SharedBuffer::from_value(handle.value)), Encoding()});
           }),
           py::arg("handle"))
      .def(py::init([](const std::string& dtype, const std::vector<std::size_t>& shape) {
             return std::make_unique<PyBuffer>(
                 PyBuffer{ReleasableBuffer(SharedBuffer(dtype_named(dtype), shape)), Encoding()});
           }),
           py::arg("dtype"), py::arg("shape"))
      .def(py::init(&lend), py::arg("object"), py::arg("declaration"))
      .def_property_readonly("_key",
                             [](Self<PyBuffer> self) {
                               const Value value = self->object.to_value();
                               return shared_key(value);
                             })
      .def("_dtype",
           [](Self<PyBuffer> self) {
             const SharedBuffer& buffer = self->object.get();
             return buffer.dtype() == DType::structure ? buffer.structure().declaration
                                                       : name_of(buffer.dtype());
           })
      .def("_shape", [](Self<PyBuffer> self) { return py::tuple(py::cast(self->object.get().shape())); })
      .def("_size", [](Self<PyBuffer> self) { return self->object.get().size(); })
      .def("_itemsize", [](Self<PyBuffer> self) { return self->object.get().itemsize(); })
      .def("_readonly", [](Self<PyBuffer> self) { return self->object.get().readonly(); })
      .def("_pin", [](Self<PyBuffer> self) { self->object.count_view(1); })
      .def("_released", [](Self<PyBuffer> self) { return self->object.released(); })
      .def("_release", [](Self<PyBuffer> self) { self->object.release(); })
      .def("_add", &add, py::arg("index"), py::arg("x"))
      .def("_compare_and_set", &compare_and_set, py::arg("index"), py::arg("old"), py::arg("new"))
      .def("_wait", &wait, py::arg("index"), py::arg("old"), py::arg("timeout"))
      .def("_notify", &notify, py::arg("index"));
}

}  // namespace osthread::python
