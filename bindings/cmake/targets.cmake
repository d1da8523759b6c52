# How every part is compiled, and the sanitizers of all of it.

if(VLJEPA_SANITIZE)
  add_compile_options(-fsanitize=${VLJEPA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VLJEPA_SANITIZE})
endif()

# An object library that both the shared and the static library, or the Python module, are linked from.
function(vljepa_objects name)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_compile_features(${name} PUBLIC cxx_std_17)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF
                                           CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(MSVC)
    target_compile_options(${name} PRIVATE /W4)
  else()
    # openmp-simd lets sums of floats be vectorised (reassociated) where the code says so; it needs no OpenMP runtime.
    target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -fopenmp-simd $<$<CONFIG:Release>:-O3>)
  endif()
endfunction()
