# SPDX-License-Identifier: MIT
# `cmake --install` installs headers, library, libctx.pc and the CMake package. They find each other by relative
# paths, so an installed prefix may be moved.
include(CMakePackageConfigHelpers)

install(TARGETS ctx ctx_cpp EXPORT libctx)
install(DIRECTORY include/ctx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY bindings/cpp/include/ctx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/libctx)
write_basic_package_version_file(libctx-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libctx-config-version.cmake DESTINATION ${package_dir})
install(EXPORT libctx NAMESPACE libctx:: FILE libctx-config.cmake DESTINATION ${package_dir})

cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}
           OUTPUT_VARIABLE libdir_from_prefix)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE prefix_from_pc)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}
           OUTPUT_VARIABLE includedir_from_prefix)
configure_file(cmake/libctx.pc.in libctx.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libctx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
