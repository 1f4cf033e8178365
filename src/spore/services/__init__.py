"""The reference application. A service knows neither trio's loop nor the mode in which it runs."""
