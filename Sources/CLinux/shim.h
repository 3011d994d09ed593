#pragma once
// What Swift's Glibc module leaves out: epoll and eventfd, and the functions behind _GNU_SOURCE.
#include <pthread.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// Declared by these headers only with _GNU_SOURCE, which Swift's own module of the C library was built without.
extern int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
extern int pthread_setname_np(pthread_t thread, const char *name);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);

static inline void stockq_name_thread(pthread_t thread, const char *name) { pthread_setname_np(thread, name); }

// EPOLLEXCLUSIVE is 1 << 28 and EPOLLONESHOT 1 << 30; the header writes the flags as an enum, the program as numbers.
static const unsigned int stockq_epollin = EPOLLIN;
static const unsigned int stockq_epollout = EPOLLOUT;
static const unsigned int stockq_epollrdhup = EPOLLRDHUP;
static const unsigned int stockq_epollhup = EPOLLHUP;
static const unsigned int stockq_epollerr = EPOLLERR;
static const unsigned int stockq_epollexclusive = EPOLLEXCLUSIVE;
static const int stockq_sock_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
static const int stockq_efd_flags = EFD_NONBLOCK | EFD_CLOEXEC;
static const int stockq_epoll_cloexec = EPOLL_CLOEXEC;
