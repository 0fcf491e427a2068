//! The example app in headless Chromium: the tests for the new pages are not written yet.
